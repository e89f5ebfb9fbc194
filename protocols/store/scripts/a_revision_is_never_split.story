# Contract item 46, bug class B12: a batch ends inside a revision, and a client that resumes after it
# misses the rest.
(put a 1)
watch w all from=2
(txn then "put b 1" "put c 1" "put d 1")
(txn then "put e 1" "put f 1")
poll w budget=1
expect got.w="+a@2" next.w=3
---
looks at 2 next
[+a@2] next 3
as expected

poll w budget=1
expect got.w="+a@2 +b@3 +c@3 +d@3" next.w=4
---
[+b@3 +c@3 +d@3] next 4
as expected

poll w
expect got.w="+a@2 +b@3 +c@3 +d@3 +e@4 +f@4" next.w=5
---
[+e@4 +f@4] next 5, synced
as expected

# In one batch: every revision whole again.
watch x all from=2
poll x
expect got.x="+a@2 +b@3 +c@3 +d@3 +e@4 +f@4" next.x=5
---
looks at 2 next
[+a@2 +b@3 +c@3 +d@3 +e@4 +f@4] next 5, synced
as expected
