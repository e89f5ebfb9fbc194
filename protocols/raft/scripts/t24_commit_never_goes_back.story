# Trap 24: a late append or beacon with an older commit index takes it back.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(duplicate kind=Append to=2)
(deliver kind=Append to=2 count=1)
(shelve late kind=Append to=2)
(stabilize)
(propose 1 b)
(stabilize)
expect 2 commit=3
---
as expected

unshelve late
deliver
inject from=1 to=2 kind=Heartbeat term=1 commit=1
expect 2 commit=3
---
n2 ← n1 Append term=1 prev=1@1 [2@1=a] commit=1
n2 → n1 Appended term=1 matched=3
n2 ← n1 Heartbeat term=1 round=0 commit=1
n2 → n1 HeartbeatReply term=1 round=0
as expected
