# Trap 26: the majority's index is looked up in a list that is sorted wrongly.
(cluster nodes=5)
(campaign 1)
(stabilize)
(propose 1 a)
(propose 1 b)
(propose 1 c)
# Members 2, 4 and 5 get one, three and two of them, 3 none.
(deliver kind=Append to=2 count=1)
(deliver kind=Append to=4)
(deliver kind=Append to=5 count=2)
deliver kind=Appended
expect 1 matched.2=2 matched.3=1 matched.4=4 matched.5=3 commit=3
---
n1 ← n2 Appended term=1 matched=2
n1 ← n4 Appended term=1 matched=2
n1 → n2 Append term=1 prev=4@1 [] commit=2
n1 → n3 Append term=1 prev=4@1 [] commit=2
n1 → n4 Append term=1 prev=4@1 [] commit=2
n1 → n5 Append term=1 prev=4@1 [] commit=2
n1 commits [2@1=a]
n1 ← n4 Appended term=1 matched=3
n1 ← n4 Appended term=1 matched=4
n1 ← n5 Appended term=1 matched=2
n1 ← n5 Appended term=1 matched=3
n1 → n2 Append term=1 prev=4@1 [] commit=3
n1 → n3 Append term=1 prev=4@1 [] commit=3
n1 → n4 Append term=1 prev=4@1 [] commit=3
n1 → n5 Append term=1 prev=4@1 [] commit=3
n1 commits [3@1=b]
as expected
