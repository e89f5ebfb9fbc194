# A handover to a member that does not answer blocks proposals for ever.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 2)
(propose 1 a)
(stabilize)
(transfer 1 2)
(propose 1 b)
expect 1 refused=1 transfer=2
---
as expected

(run 1s)
propose 1 c
stabilize
expect 1 transfer=none refused=1 state="a c"
---
n1 writes #5 Append [3@1=c]
n1 writes #6 Commit 2
n1 → n2 Append term=1 prev=2@1 [3@1=c] commit=2 (lost)
n1 → n3 Append term=1 prev=2@1 [3@1=c] commit=2
n1 durable #6
n3 ← n1 Append term=1 prev=2@1 [3@1=c] commit=2
n3 writes #5 Append [3@1=c]
n3 writes #6 Commit 2
n3 durable #6
n3 → n1 Appended term=1 matched=3
n1 ← n3 Appended term=1 matched=3
n1 → n2 Append term=1 prev=3@1 [] commit=3 (lost)
n1 → n3 Append term=1 prev=3@1 [] commit=3
n1 commits [3@1=c]
n3 ← n1 Append term=1 prev=3@1 [] commit=3
n3 → n1 Appended term=1 matched=3
n3 commits [3@1=c]
n1 ← n3 Appended term=1 matched=3
as expected
