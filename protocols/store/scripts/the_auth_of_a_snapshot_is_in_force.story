# etcd#14571: a member that opens its state again, or gets it from another, forgets that
# authentication is on, and comes to other answers than the rest.
auth user root
auth grant root root
auth user u
auth role r
auth grant u r
auth allow r readwrite a c
auth on
sync
crash
replay
put a 1
put a 1 as=u
put c 1 as=u
expect answer="refused at revision 2: Auth(PermissionDenied)" keys=a
---
revision 1
revision 1
revision 1
revision 1
revision 1
revision 1
revision 1
synced up to entry 7
open at entry 7 of 7
refused at revision 1: Auth(UserEmpty)
revision 2
refused at revision 2: Auth(PermissionDenied)
as expected
