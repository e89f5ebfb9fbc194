# Trap 46: a voter that becomes a learner takes itself for one while the old configuration still holds,
# and where that configuration needs its vote nobody can be elected.
(cluster nodes=2)
(campaign 1)
(stabilize)
(reconfigure 1 voters="2" learners="1")
(disk 2 hold)
(deliver kind=Append)
expect 1 role=leader members="{2 from 1 2 learners 1}"
expect 2 members="{2 from 1 2 learners 1}" disk_last=1@1
---
as expected
as expected

# Member 2 loses the entry; only member 1 can be elected, and by its own vote too.
(crash 2)
(crash 1)
(drop)
(restart 1)
(restart 2)
expect 1 members="{2 from 1 2 learners 1}"
expect 2 members="{1 2}"
(cut 2 1)
(advance 3s)
(drop)
(heal)
(campaign 1)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
(deliver kind=Vote)
(deliver kind=VoteReply)
expect 1 role=leader
---
as expected
as expected
as expected

# It brings the change to its end and hands over.
(run 3s)
expect 1 role=follower members="{2 learners 1}" removed=false
expect 2 role=leader members="{2 learners 1}"
---
as expected
as expected
