# Trap 15: a pre-vote reply that comes late, or a manual campaign, makes a leader campaign against
# itself.
(cluster nodes=3)
(campaign 1)
(deliver kind=PreVote)
(shelve late kind=PreVoteReply from=3)
(stabilize)
expect leader=1
---
as expected

unshelve late
deliver
inject from=2 to=1 kind=PreVoteReply term=2
campaign 1
expect 1 role=leader term=1
---
n1 ← n3 PreVoteReply term=1 granted
n1 ← n2 PreVoteReply term=2 granted
as expected
