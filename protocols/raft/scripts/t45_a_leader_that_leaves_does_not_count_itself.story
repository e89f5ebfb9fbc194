# Trap 45: a leader that removes itself counts its own copy towards the commit of what comes after.
(cluster nodes=3)
(campaign 1)
(stabilize)
(reconfigure 1 voters="2 3")
(deliver kind=Append)
(deliver kind=Appended)
expect 1 role=leader members="{2 3}" log="1 1 1" commit=2
---
as expected

# With its own copy it would be two of three; of the two that count one has it.
(drop to=3)
(deliver kind=Append to=2)
(deliver kind=Appended from=2)
expect 1 commit=2 role=leader
---
as expected

# When it is committed, the leader tells and goes; the other two elect one of them at once.
(run 300ms)
expect 1 role=follower removed=true timer=none
expect 2 members="{2 3}" commit=4
expect 3 members="{2 3}" commit=4
(propose 2 a)
(propose 3 a)
(run 1s)
expect 1 last=3@1
---
as expected
as expected
as expected
as expected
