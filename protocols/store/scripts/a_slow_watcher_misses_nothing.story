# Bug class B9: a watcher that fell behind the recent changes goes on from the oldest of them.
(store ring=0)
(put a 1)
watch w all from=2
(put b 1)
(put a 2)
(del b)
(put c 1)
poll w
expect got.w="+a@2 +b@3 +a@4 -b@5 +c@6" next.w=7
---
looks at 2 next
[+a@2 +b@3 +a@4 -b@5 +c@6] next 7, synced
as expected

# A filter and a range leave out what they say and nothing else (items 49 and 53).
watch deletes all from=2 nodelete=true
watch some b c from=2
(poll deletes)
(poll some)
expect got.deletes="+a@2 +b@3 +a@4 +c@6" got.some="+b@3 -b@5"
---
looks at 2 next
looks at 2 next
as expected
