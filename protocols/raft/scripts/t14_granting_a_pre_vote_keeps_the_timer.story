# Trap 14: granting a pre-vote counts as having heard from a leader, and two members that ask in turn
# keep a third from ever campaigning.
(cluster nodes=3)
expect 2 timer=1478
---
as expected

advance 900ms
inject from=3 to=2 kind=PreVote term=1
expect 2 timer=1478
---
n2 ← n3 PreVote term=1 last=0@0
n2 → n3 PreVoteReply term=1 granted
as expected

# Granting a vote does put it off.
inject from=3 to=2 kind=Vote term=1
expect 2 timer=2413
---
n2 ← n3 Vote term=1 last=0@0
n2 writes #1 Vote term=1 vote=n3
n2 is follower term=1 leader=-
n2 durable #1
n2 → n3 VoteReply term=1 granted
as expected
