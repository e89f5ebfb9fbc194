# Trap 25: member 3 acknowledged entry 2 of term 1, which was then replaced. Its late answer makes a
# quorum for another entry 2.
(cluster nodes=5)
(campaign 1)
(stabilize)
(propose 1 a)
(deliver kind=Append to=3)
(shelve late kind=Appended from=3)
(drop)
# Term 2: member 2 leads without 1 and 3, and member 3 takes its entry 2.
(partition 1)
(advance 1s)
(drop)
(campaign 2)
(drop to=3)
(stabilize)
(run 300ms)
expect 3 log="1 2"
---
as expected

# Member 1 leads again, in term 3, and reaches nobody yet.
(heal)
(run 300ms)
(transfer 2 1)
(deliver kind=TimeoutNow)
(deliver kind=Vote)
(deliver kind=VoteReply)
(drop)
expect 1 role=leader term=3 log="1 2 3" commit=2
---
as expected

unshelve late
deliver
expect 1 matched.3=0 commit=2
---
n1 ← n3 Appended term=1 matched=2
as expected
