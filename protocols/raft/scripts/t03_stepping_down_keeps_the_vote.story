# Trap 3: a candidate that steps down within its term forgets its vote and votes again.
(cluster nodes=3)
(campaign 1)
(campaign 2)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
expect 1 role=candidate term=1
expect 2 role=candidate term=1
---
as expected
as expected

# Member 3 votes for 2, which leads and makes 1 a follower in the same term.
(deliver kind=Vote from=2 to=3)
(deliver kind=VoteReply to=2)
deliver kind=Append from=2 to=1
expect 1 role=follower term=1 leader=2
---
n1 ← n2 Append term=1 prev=0@0 [1@1] commit=0
n1 writes #2 Append [1@1]
n1 is follower term=1 leader=n2
n1 durable #2
n1 → n2 Appended term=1 matched=1
as expected

# Its vote is still its own.
inject from=3 to=1 kind=Vote term=1 id_term=1 id_index=9
expect 1 vote=1
---
n1 ← n3 Vote term=1 last=9@1
n1 → n3 VoteReply term=1 refused
as expected
