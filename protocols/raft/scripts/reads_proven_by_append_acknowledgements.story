# An acknowledgement of entries that were first sent after the read began proves leadership as well
# as a beacon's answer; one of entries sent before proves nothing.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(read 1 7)
(drop kind=Heartbeat)
(deliver kind=Append)
deliver kind=Appended
expect 1 read.7=pending commit=2
---
n1 ← n2 Appended term=1 matched=2
n1 → n2 Append term=1 prev=2@1 [] commit=2
n1 → n3 Append term=1 prev=2@1 [] commit=2
n1 commits [2@1=a]
n1 ← n3 Appended term=1 matched=2
as expected

(propose 1 b)
(drop kind=Heartbeat)
(deliver kind=Append)
deliver kind=Appended
expect 1 read.7=1 commit=3
---
n1 ← n2 Appended term=1 matched=2
n1 ← n3 Appended term=1 matched=2
n1 ← n2 Appended term=1 matched=3
n1 → n2 Append term=1 prev=3@1 [] commit=3
n1 → n3 Append term=1 prev=3@1 [] commit=3
n1 answers read 7 at 1
n1 commits [3@1=b]
n1 ← n3 Appended term=1 matched=3
as expected
