# Contract items 33 and 43; etcd#19179: the delete at the compacted revision itself is gone, and a
# watcher that resumes there believes that the key still exists.
(store ring=0)
(put a 1)
(del a)
(put b 1)
(compact 3)
(sweep)
watch w all from=3
poll w
expect got.w="-a@3 +b@4" next.w=5
---
looks at 3 next
[-a@3 +b@4] next 5, synced
as expected

# One revision earlier is too late.
watch late all from=2
poll late
expect answer="cancelled: compacted at 3"
---
looks at 2 next
cancelled: compacted at 3
as expected
