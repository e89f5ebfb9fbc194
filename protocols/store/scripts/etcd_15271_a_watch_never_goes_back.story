# etcd#15271: a watcher that fell behind the recent changes, as after a partition, is given a revision again that it has
# seen. Its client takes the older value for the newer one.
(store ring=0)
(put a 1)
watch w all from=2
(poll w)
(put a 2)
(put a 3)
(poll w)
expect got.w="+a@2 +a@3 +a@4" next.w=5
---
looks at 2 next
as expected
