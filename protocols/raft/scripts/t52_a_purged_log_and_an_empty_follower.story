# Trap 52: the leader's log is entirely compacted, a follower has nothing: neither a probe nor a
# snapshot is sent.
(cluster nodes=3)
(partition 3)
(campaign 1)
(stabilize)
(propose 1 a b)
(stabilize)
(compact 1)
(compact 2)
expect 1 base=3@1 last=3@1
expect 3 last=0@0
---
as expected
as expected

# A new leader, so that it knows nothing of member 3 but its own empty log.
(crash 1)
(restart 1)
(heal)
(run 5s)
status
expect committed=4
expect 3 state="a b" commit=4
---
5000ms
n1 leader term=2 vote=n1 leader=n1 commit=4 applied=4 last=4@2 base=3@1
n2 follower term=2 vote=n1 leader=n1 commit=4 applied=4 last=4@2 base=3@1
n3 follower term=2 vote=n1 leader=n1 commit=4 applied=4 last=4@2 base=4@2
as expected
as expected
