# etcd#17247: a change of a transaction reaches watchers twice.
watch w all from=2
(txn then "put a 1" "put b 1" "put c 1")
(poll w)
expect got.w="+a@2 +b@2 +c@2" next.w=3
---
looks at 2 next
as expected
