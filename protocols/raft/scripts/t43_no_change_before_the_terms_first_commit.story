# Trap 43: a new leader changes the configuration before it knows what its predecessor committed,
# because it has not committed an entry of its own term yet.
(cluster nodes=3)
(campaign 1)
(stabilize)
(join 4)
(crash 1)
(advance 3s)
(drop)
(campaign 2)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
(deliver kind=Vote)
(deliver kind=VoteReply)
(drop kind=Append)
expect 2 role=leader commit=1 log="1 2"
(reconfigure 2 voters="1 2 3" learners="4")
expect 2 hurdle=TooEarly members="{1 2 3}" log="1 2"
---
as expected
as expected

# With the first commit it may.
(run 300ms)
(reconfigure 2 voters="1 2 3" learners="4")
expect 2 members="{1 2 3 learners 4}" log="1 2 2"
---
as expected

# One at a time: not committed yet.
(reconfigure 2 voters="1 2 3")
expect 2 hurdle=Pending members="{1 2 3 learners 4}"
(stabilize)
(reconfigure 2 voters="1 2 3")
(stabilize)
expect 3 members="{1 2 3}" commit=4
---
as expected
as expected
