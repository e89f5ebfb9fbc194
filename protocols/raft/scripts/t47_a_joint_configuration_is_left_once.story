# Trap 47: the entry that ends a change is appended again and again until it is committed, or never.
(cluster nodes=3)
(campaign 1)
(stabilize)
(join 4)
(reconfigure 1 voters="1 2 3" learners="4")
(run 300ms)
(reconfigure 1 voters="1 2 3 4")
(deliver kind=Append)
(deliver kind=Appended)
expect 1 members="{1 2 3 4}" log="1 1 1 1"
(propose 1 a)
(propose 1 b)
expect 1 members="{1 2 3 4}" log="1 1 1 1 1 1" hurdle=none
(reconfigure 1 voters="1 2 3")
expect 1 hurdle=Pending
---
as expected
as expected
as expected

# It is lost with its leader: whoever leads next leaves, once.
(drop)
(crash 1)
(run 4s)
expect 2 members="{1 2 3 4}"
expect 3 members="{1 2 3 4}"
expect 4 members="{1 2 3 4}"
(restart 1)
(run 2s)
expect 1 members="{1 2 3 4}"
---
as expected
as expected
as expected
as expected
