# Trap 11: members of a lower term ask a member of a higher term for pre-votes, are ignored, and
# nobody ever wins.
(cluster nodes=3)
(campaign 1)
(stabilize)
# Member 3 misses an entry but has seen term 7; the leader dies.
(partition 3)
(propose 1 a)
(stabilize)
(inject from=1 to=3 kind=HeartbeatReply term=7)
(crash 1)
(heal)
expect 2 term=1 last=2@1
expect 3 term=7 last=1@1
---
as expected
as expected

# Only member 2 has the log, only member 3 the term.
(run 10s)
status
expect leader=2
---
10000ms
n1 is down
n2 leader term=8 vote=n2 leader=n2 commit=3 applied=3 last=3@8 base=0@0
n3 follower term=8 vote=n2 leader=n2 commit=3 applied=3 last=3@8 base=0@0
as expected
