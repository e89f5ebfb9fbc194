# Trap 16, the other half: a leader that still reaches its followers but hears none of them holds
# them for ever, unless it checks its quorum.
(cluster nodes=3)
(campaign 1)
(stabilize)
(cut 2 1)
(cut 3 1)
(run 1200ms)
status
expect 1 role=follower term=1 leader=none
---
1200ms
n1 follower term=1 vote=n1 leader=- commit=1 applied=1 last=1@1 base=0@0
n2 follower term=1 vote=n1 leader=n1 commit=1 applied=1 last=1@1 base=0@0
n3 follower term=1 vote=n1 leader=n1 commit=1 applied=1 last=1@1 base=0@0
as expected

(run 5s)
status
expect leader=3
---
6200ms
n1 pre-candidate term=1 vote=n1 leader=- commit=1 applied=1 last=1@1 base=0@0
n2 follower term=2 vote=n3 leader=n3 commit=2 applied=2 last=2@2 base=0@0
n3 leader term=2 vote=n3 leader=n3 commit=2 applied=2 last=2@2 base=0@0
as expected
