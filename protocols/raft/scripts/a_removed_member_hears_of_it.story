# A member that is removed is not just left alone: it is sent the entry that removes it and told that
# it is committed, so that it can end for the right reason. One that is silent is not waited for.
(cluster nodes=4)
(campaign 1)
(stabilize)
(partition 3)
(reconfigure 1 voters="1 2")
(run 300ms)
expect 4 removed=true members="{1 2}" timer=none
expect 3 removed=false members="{1 2 3 4}"
expect 1 members="{1 2}"
---
as expected
as expected
as expected

# Long removed, it disturbs nobody when it comes back.
(run 2s)
(heal)
(run 5s)
expect leader=1
expect 1 term=1 commit=3
expect 3 removed=false last=1@1
---
as expected
as expected
as expected
