# Trap 4: a candidate that does not persist its own vote can vote for another after a crash.
(cluster nodes=3)
(disk 1 hold)
(campaign 1)
(deliver)
(deliver)
# Nobody is even asked before the vote is on disk, so what the request says about the log is
# durable as well.
expect 1 role=candidate pending=1
expect wire.Vote=0
---
as expected
as expected

# A grant that is already there does not elect it either.
inject from=2 to=1 kind=VoteReply term=1
inject from=3 to=1 kind=VoteReply term=1
expect 1 role=candidate
---
n1 ← n2 VoteReply term=1 granted
n1 ← n3 VoteReply term=1 granted
as expected

disk 1 sync
crash 1
restart 1
inject from=2 to=1 kind=Vote term=1 id_term=1 id_index=9
expect 1 term=1 vote=1
---
n1 durable #1
n1 writes #2 Append [1@1]
n1 → n2 Vote term=1 last=0@0
n1 → n3 Vote term=1 last=0@0
n1 → n2 Append term=1 prev=0@0 [1@1] commit=0
n1 → n3 Append term=1 prev=0@0 [1@1] commit=0
n1 is leader term=1 leader=n1
n1 crashed
n1 restarted
n1 ← n2 Vote term=1 last=9@1
n1 → n2 VoteReply term=1 refused
as expected
