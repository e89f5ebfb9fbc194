# Trap 17: a member that was promoted without having heard of it refuses its vote, though nobody can
# be elected without it.
(cluster nodes=1)
(campaign 1)
(join 2)
(reconfigure 1 voters="1" learners="2")
(stabilize)
(join 3)
(reconfigure 1 voters="1" learners="2 3")
(stabilize)
(run 200ms)
expect 1 members="{1 learners 2 3}" matched.2=3 matched.3=3
---
as expected

# Member 3 hears of the promotion of both, member 2 does not; then the leader is gone for good.
(cut 1 2)
(reconfigure 1 voters="1 2 3")
(deliver from=1 to=3)
(crash 1)
(drop)
(heal)
expect 3 members="{1 2 3 from 1}" role=follower
expect 2 members="{1 learners 2 3}"
---
as expected
as expected

# The old configuration was member 1 alone: it must come back, and is elected with the vote of 3 or 2.
(restart 1)
(partition 3)
(advance 3s)
(drop)
(campaign 1)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
(deliver kind=Vote)
(deliver kind=VoteReply)
expect 1 role=leader
---
as expected
