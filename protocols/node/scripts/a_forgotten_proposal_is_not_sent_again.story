# A caller that gave up finds its operation done by a later leader all the same.
(cluster nodes=3)
(campaign 1)
(stabilize)
partition 1
propose 2 a
expect 2 open=1
---
n2 → n1 Forward [n2/1:a] (lost)
as expected

forget 2 1
(run 5s)
expect 2 open=0 state="" rev=1 answer.1=pending
---
as expected

# With nothing forgotten the next leader would have got it: the same again, with another caller.
propose 2 b
(run 2s)
expect 2 open=0 state="n2/2:b" rev=2 answered=2
---
n2 → n3 Forward [n2/2:b]
as expected
