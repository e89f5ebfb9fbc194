# Trap 37: a read that is asked again reuses the old one's mark, and answers to old beacons confirm
# it, though the leader is long deposed.
(cluster nodes=3)
(campaign 1)
(stabilize)
(read 1 7)
(deliver kind=Heartbeat)
(duplicate kind=HeartbeatReply)
(deliver kind=HeartbeatReply count=2)
(shelve late kind=HeartbeatReply)
expect 1 read.7=1
---
as expected

# Member 1 is cut off; the others go on without it.
(partition 1)
(read 1 8)
(drop)
(run 900ms)
(campaign 2)
(campaign 3)
(stabilize)
(unshelve late)
(heal)
deliver kind=HeartbeatReply to=1
expect 1 read.8=pending
---
n1 ← n2 HeartbeatReply term=1 round=1
n1 ← n3 HeartbeatReply term=1 round=1
as expected

(partition 1)
(run 5s)
status
expect 1 role=pre-candidate read.8=dropped
---
5900ms
n1 pre-candidate term=1 vote=n1 leader=- commit=1 applied=1 last=1@1 base=0@0
n2 follower term=3 vote=n3 leader=n3 commit=2 applied=2 last=2@3 base=0@0
n3 leader term=3 vote=n3 leader=n3 commit=2 applied=2 last=2@3 base=0@0
as expected
