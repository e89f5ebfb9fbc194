# Trap 33: recovery rolls back what was committed.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a b)
(stabilize)
(propose 1 c)
(deliver kind=Append)
(deliver kind=Appended)
expect 1 commit=4
---
as expected

# All lose power at once; nothing but the disks remains.
(crash 1)
(crash 2)
(crash 3)
(restart 1)
(restart 2)
(restart 3)
status
expect 1 commit=3 applied=0 last=4@1
---
0ms
n1 follower term=1 vote=n1 leader=- commit=3 applied=0 last=4@1 base=0@0
n2 follower term=1 vote=n1 leader=- commit=3 applied=0 last=4@1 base=0@0
n3 follower term=1 vote=n1 leader=- commit=3 applied=0 last=4@1 base=0@0
as expected

(run 5s)
status
expect committed=5
expect 1 state="a b c"
expect 2 state="a b c"
expect 3 state="a b c"
---
5000ms
n1 leader term=2 vote=n1 leader=n1 commit=5 applied=5 last=5@2 base=0@0
n2 follower term=2 vote=n1 leader=n1 commit=5 applied=5 last=5@2 base=0@0
n3 follower term=2 vote=n1 leader=n1 commit=5 applied=5 last=5@2 base=0@0
as expected
as expected
as expected
as expected
