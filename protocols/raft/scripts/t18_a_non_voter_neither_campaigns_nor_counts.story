# Trap 18: a machine outside of the configuration campaigns, or its vote is counted.
(cluster nodes=3)
(add 4)
(campaign 4)
expect 4 role=follower timer=none
expect wire=0
---
as expected
as expected

# With 1 and 3 silent, a grant from 4 makes no quorum for 2: not in the question,
(campaign 2)
(drop)
inject from=4 to=2 kind=PreVoteReply term=1
expect 2 role=pre-candidate term=0
---
n2 ← n4 PreVoteReply term=1 granted
as expected

# and not in the election.
(inject from=3 to=2 kind=PreVoteReply term=1)
(drop)
inject from=4 to=2 kind=VoteReply term=1
expect 2 role=candidate term=1
---
n2 ← n4 VoteReply term=1 granted
as expected
