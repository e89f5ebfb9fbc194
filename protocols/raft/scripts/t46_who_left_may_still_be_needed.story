# Trap 46: a leader that removed itself holds the entry that says so, and nobody else does. If it does
# not stand for election, nobody can be elected: the others need its vote, and their logs are shorter.
(cluster nodes=1)
(campaign 1)
(stabilize)
(join 2)
(reconfigure 1 voters=1 learners=2)
(run 300ms)
(reconfigure 1 voters=2)
(deliver kind=Append)
(deliver kind=Appended)
expect 1 members="{2}" last=4@1
expect 2 members="{2 from 1}" last=3@1
---
as expected
as expected

(drop)
(crash 1)
(restart 1)
(run 5s)
expect 2 role=leader members="{2}"
expect 1 removed=true timer=none
---
as expected
as expected
