# Trap B7: a leader that nobody hears any more lets a lease expire that its successor keeps alive.
(cluster nodes=3)
(campaign 1)
(stabilize)
(grant 2 5 3)
(propose 2 a lease=5)
(stabilize)
(run 2800ms)
(partition 1)
advance 300ms
expect 1 wanted="revoke 5 @1" role=leader
---
n1 → n2 Heartbeat term=1 round=0 commit=3 (lost)
n1 → n3 Heartbeat term=1 round=0 commit=3 (lost)
n1 → n2 Heartbeat term=1 round=0 commit=3 (lost)
n1 → n3 Heartbeat term=1 round=0 commit=3 (lost)
n1 wants `revoke 5 @1` in the log
n1 writes #6 Append [4@1=revoke 5 @1]
n1 writes #7 Commit 3
n1 → n2 Append term=1 prev=3@1 [4@1=revoke 5 @1] commit=3 (lost)
n1 → n3 Append term=1 prev=3@1 [4@1=revoke 5 @1] commit=3 (lost)
n1 durable #7
n1 → n2 Heartbeat term=1 round=0 commit=3 (lost)
n1 → n3 Heartbeat term=1 round=0 commit=3 (lost)
as expected

# Its successor starts the lease anew and puts other entries in the place of the old leader's.
(run 3s)
(ask 2 1 renew 5)
(stabilize)
(heal)
(run 1s)
expect 2 told.1=3 leases=5 keys=a
expect 1 role=follower leases=5 keys=a
---
as expected
as expected

# The same decision reaches the log of term 2 after all: the entry's term is not the one that it
# names, so it does nothing, on any member.
inject from=1 to=2 kind=Forward payload="revoke 5 @1"
inject from=1 to=3 kind=Forward payload="revoke 5 @1"
(stabilize)
expect 1 leases=5 keys=a
expect 2 leases=5 keys=a
expect 3 leases=5 keys=a
---
n2 ← n1 Forward [revoke 5 @1]
n2 writes #9 Append [5@2=revoke 5 @1]
n2 writes #10 Commit 4
n2 → n1 Append term=2 prev=4@2 [5@2=revoke 5 @1] commit=4
n2 → n3 Append term=2 prev=4@2 [5@2=revoke 5 @1] commit=4
n2 durable #10
n3 ← n1 Forward [revoke 5 @1]
as expected
as expected
as expected
