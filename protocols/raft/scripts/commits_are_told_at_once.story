# Followers answer clients of their own: they learn of a commit without waiting for a beacon.
(cluster nodes=3)
(campaign 1)
(stabilize)
propose 1 a
stabilize
expect 1 commit=2 state=a
expect 2 commit=2 state=a
expect 3 commit=2 state=a
---
n1 writes #3 Append [2@1=a]
n1 writes #4 Commit 1
n1 → n2 Append term=1 prev=1@1 [2@1=a] commit=1
n1 → n3 Append term=1 prev=1@1 [2@1=a] commit=1
n1 durable #4
n2 ← n1 Append term=1 prev=1@1 [2@1=a] commit=1
n2 writes #3 Append [2@1=a]
n2 writes #4 Commit 1
n2 durable #4
n2 → n1 Appended term=1 matched=2
n3 ← n1 Append term=1 prev=1@1 [2@1=a] commit=1
n3 writes #3 Append [2@1=a]
n3 writes #4 Commit 1
n3 durable #4
n3 → n1 Appended term=1 matched=2
n1 ← n2 Appended term=1 matched=2
n1 → n2 Append term=1 prev=2@1 [] commit=2
n1 → n3 Append term=1 prev=2@1 [] commit=2
n1 commits [2@1=a]
n1 ← n3 Appended term=1 matched=2
n2 ← n1 Append term=1 prev=2@1 [] commit=2
n2 → n1 Appended term=1 matched=2
n2 commits [2@1=a]
n3 ← n1 Append term=1 prev=2@1 [] commit=2
n3 → n1 Appended term=1 matched=2
n3 commits [2@1=a]
n1 ← n2 Appended term=1 matched=2
n1 ← n3 Appended term=1 matched=2
as expected
as expected
as expected
