# Trap 16: member 3 hears member 2 but not the leader, and deposes it again and again.
(cluster nodes=3)
(campaign 1)
(stabilize)
(cut 1 3)
(cut 3 1)
(run 20s)
status
expect leader=1
expect 1 term=1
---
20000ms
n1 leader term=1 vote=n1 leader=n1 commit=1 applied=1 last=1@1 base=0@0
n2 follower term=1 vote=n1 leader=n1 commit=1 applied=1 last=1@1 base=0@0
n3 pre-candidate term=1 vote=n1 leader=- commit=1 applied=1 last=1@1 base=0@0
as expected
as expected
