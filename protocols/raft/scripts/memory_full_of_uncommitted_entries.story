# All members' memories are full of entries that no leader lived long enough to commit. If a full
# follower refused more, it would refuse the entry of the new term that commits them, for ever.
(cluster nodes=3 cached_bytes=420)
(campaign 1)
(stabilize)
(propose 1 count=2 size=152)
(deliver kind=Append)
(drop)
(crash 1)
expect 2 last=3@1 commit=1
expect 3 last=3@1 commit=1
---
as expected
as expected

(run 10s)
status
expect committed=4
---
10000ms
n1 is down
n2 leader term=2 vote=n2 leader=n2 commit=4 applied=4 last=4@2 base=0@0
n3 follower term=2 vote=n2 leader=n2 commit=4 applied=4 last=4@2 base=0@0
as expected
