# A message for a group that is not here stops the member, or is taken for one of its own group.
(cluster nodes=3)
(campaign 1)
(stabilize)
inject from=1 to=2 kind=Heartbeat term=9 group=7
inject from=2 to=1 kind=Forward payload=a group=7
expect wire=0
expect 1 term=1 strays=1 last=1@1
expect 2 term=1 strays=1 leader=1
---
n2 ← n1 g7 Heartbeat term=9 round=0 commit=0
n1 ← n2 g7 Forward [a]
as expected
as expected
as expected
