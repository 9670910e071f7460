#!/bin/sh
# What a DHCP client calls: udhcpc says in $1 what has happened, dhclient in $reason. Writes the lease to $LEASE.
case "$1$reason" in
bound | renew | BOUND | REBOOT | RENEW | REBIND) ;;
*) exit 0 ;;
esac
address=${ip:-$new_ip_address}
gateway=${router:-$new_routers}
names=${dns:-$new_domain_name_servers}
zone=${domain:-$new_domain_name}
ip -4 address flush dev "$interface"
ip address add "$address/${subnet:-$new_subnet_mask}" dev "$interface"
[ -z "$gateway" ] || ip route replace default via "$gateway"
printf 'search %s\nnameserver %s\n' "$zone" "$names" >/etc/resolv.conf
cat >"$LEASE" <<END
address=$address
router=$gateway
dns=$names
domain=$zone
hostname=${hostname:-$new_host_name}
server=${serverid:-$new_dhcp_server_identifier}
mtu=${mtu:-$new_interface_mtu}
END
