# A follower whose state machine stands still takes entries until its memory ends; or it loses its
# leader, or its vote, over it.
(cluster nodes=3 cached_bytes=500)
(campaign 1)
(stabilize)
(app 3 hold)
(propose 1 count=3 size=152)
(stabilize)
(propose 1 count=2 size=152)
(stabilize)
# Two entries of 200 bytes fit into its memory; the others reach a majority without it.
expect 3 last=3@1 commit=3 applied=1 leader=1
expect 1 commit=5 applied=5 refused=1
---
as expected
as expected

(run 3s)
expect leader=1
expect 3 last=3@1 role=follower
---
as expected
as expected

(app 3 release)
(run 1s)
expect 3 last=5@1 commit=5 applied=5
---
as expected
