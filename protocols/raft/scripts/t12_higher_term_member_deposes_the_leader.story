# Trap 12, the deadlock: pre-vote keeps a member of a higher term from being elected, stickiness keeps the
# others from helping it, and it ignores the leader of the lower term for ever.
(cluster nodes=3)
(campaign 1)
(stabilize)
(inject from=2 to=3 kind=HeartbeatReply term=7)
expect 3 term=7
---
as expected

# Its refusal tells the leader, which steps down; the next leader has a term that all accept.
(run 5s)
status
propose 1 a
expect 3 term=8
---
5000ms
n1 follower term=8 vote=n3 leader=n3 commit=2 applied=2 last=2@8 base=0@0
n2 follower term=8 vote=n3 leader=n3 commit=2 applied=2 last=2@8 base=0@0
n3 leader term=8 vote=n3 leader=n3 commit=2 applied=2 last=2@8 base=0@0
n1 refuses a
as expected
