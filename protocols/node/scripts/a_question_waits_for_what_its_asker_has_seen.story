# A lease is granted through a follower and then unknown to the leader, which has not applied the
# grant yet.
(cluster nodes=3)
(campaign 1)
(stabilize)
(app 1 hold)
(grant 2 5 60)
(stabilize)
expect 2 answer.1="revision 1" leases=5
expect 1 leases=""
---
as expected
as expected

ask 2 1 renew 5
stabilize
expect 2 told.1=pending
---
n2 → n1 Ask applied=2 [1: renew 5]
n1 ← n2 Ask applied=2 [1: renew 5]
as expected

app 1 release
stabilize
expect 2 told.1=60
---
n1 → n2 Told [1: 60s]
n2 ← n1 Told [1: 60s]
n2 is told 60s for question 1
as expected

# Nobody granted this one (contract item 56).
ask 2 2 renew 6
ask 2 3 remaining 6
(stabilize)
expect 2 told.2=0 told.3="-1"
---
n2 → n1 Ask applied=2 [2: renew 6]
n2 → n1 Ask applied=2 [3: remaining 6]
as expected
