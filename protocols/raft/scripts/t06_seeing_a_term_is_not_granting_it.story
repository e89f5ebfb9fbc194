# Trap 6: taking a higher term from a vote request as having granted it.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(stabilize)
(advance 3s)
(drop)
# The candidate's log is shorter: its term is adopted, the vote stays free.
inject from=3 to=2 kind=Vote term=7 id_term=1 id_index=1
expect 2 term=7 vote=none
---
n2 ← n3 Vote term=7 last=1@1
n2 writes #5 Vote term=7 vote=-
n2 → n3 VoteReply term=7 refused
n2 is follower term=7 leader=-
n2 durable #5
as expected

# So a candidate with a complete log still gets it.
inject from=1 to=2 kind=Vote term=7 id_term=1 id_index=2
expect 2 term=7 vote=1
---
n2 ← n1 Vote term=7 last=2@1
n2 writes #6 Vote term=7 vote=n1
n2 durable #6
n2 → n1 VoteReply term=7 granted
as expected
