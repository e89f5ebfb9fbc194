# A stream that takes very long makes the leader's log grow without an end.
(cluster nodes=3 held_entries=3)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a b c d)
(stabilize)
(compact 1)
(heal)
(advance 300ms)
(deliver kind=Heartbeat)
(deliver kind=HeartbeatReply)
(deliver kind=Append)
(deliver kind=AppendRefused)
expect 1 base=5@1 flow.3=snapshot
---
as expected

(propose 1 e f)
(deliver from=1 to=2)
(deliver from=2 to=1)
(compact 1)
expect 1 applied=7 base=5@1
---
as expected

(propose 1 g h i)
(deliver from=1 to=2)
(deliver from=2 to=1)
(compact 1)
expect 1 applied=10 base=7@1
---
as expected

# Another state brings the follower along.
(run 2s)
expect 3 state="a b c d e f g h i"
---
as expected
