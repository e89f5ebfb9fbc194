# Trap 23: an old acknowledgement lowers what a follower is known to hold, and appends go backwards.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(deliver kind=Append to=2)
(shelve late kind=Appended from=2)
(propose 1 b)
(stabilize)
expect 1 matched.2=3 next.2=4 commit=3
---
as expected

unshelve late
deliver
expect 1 matched.2=3 next.2=4 flow.2=replicate
---
n1 ← n2 Appended term=1 matched=2
as expected
