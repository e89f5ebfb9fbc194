# Trap 27: the refusal of an append that has long been repaired rewinds the follower again, or looks
# as if its log had shrunk.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(drop kind=Append to=2)
(propose 1 b)
(deliver kind=Append to=2)
(duplicate kind=AppendRefused)
(deliver kind=AppendRefused count=1)
(shelve late kind=AppendRefused)
expect 1 flow.2=probe next.2=2
---
as expected

(stabilize)
expect 1 flow.2=replicate matched.2=3 next.2=4
---
as expected

unshelve late
deliver
expect 1 flow.2=replicate matched.2=3 next.2=4
expect wire=0
---
n1 ← n2 AppendRefused term=1 prev=2 hint=1@1
as expected
as expected
