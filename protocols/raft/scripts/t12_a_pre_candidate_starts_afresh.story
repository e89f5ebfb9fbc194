# Trap 12: a pre-candidate keeps its old leader or old votes.
(cluster nodes=5)
(campaign 1)
(stabilize)
(cut 1 2)
(cut 2 1)
(campaign 2)
drop
expect 2 role=pre-candidate leader=none
---
n2 → n3 PreVote term=2 last=1@1 (dropped)
n2 → n4 PreVote term=2 last=1@1 (dropped)
n2 → n5 PreVote term=2 last=1@1 (dropped)
as expected

# It asks again. Two old grants and its own would be a quorum, but this is a new question, and one
# answer is none.
(inject from=3 to=2 kind=PreVoteReply term=2)
(campaign 2)
(drop)
inject from=4 to=2 kind=PreVoteReply term=2
expect 2 role=pre-candidate term=1
---
n2 ← n4 PreVoteReply term=2 granted
as expected

# The old leader is alive: it is followed again.
(heal)
run 100ms
expect leader=1
expect 2 role=follower leader=1
---
n1 → n2 Heartbeat term=1 round=0 commit=1
n1 → n3 Heartbeat term=1 round=0 commit=1
n1 → n4 Heartbeat term=1 round=0 commit=1
n1 → n5 Heartbeat term=1 round=0 commit=1
n2 ← n1 Heartbeat term=1 round=0 commit=1
n2 → n1 HeartbeatReply term=1 round=0
n2 is follower term=1 leader=n1
n3 ← n1 Heartbeat term=1 round=0 commit=1
n3 → n1 HeartbeatReply term=1 round=0
n4 ← n1 Heartbeat term=1 round=0 commit=1
n4 → n1 HeartbeatReply term=1 round=0
n5 ← n1 Heartbeat term=1 round=0 commit=1
n5 → n1 HeartbeatReply term=1 round=0
n1 ← n2 HeartbeatReply term=1 round=0
n1 ← n3 HeartbeatReply term=1 round=0
n1 ← n4 HeartbeatReply term=1 round=0
n1 ← n5 HeartbeatReply term=1 round=0
as expected
as expected
