#!/bin/bash
# Succeeds when the process of this container reports that it is well. In bash, because starting Node.js for each question
# takes more of a busy machine than the process that is asked.
exec 3<> /dev/tcp/127.0.0.1/8080
printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]
