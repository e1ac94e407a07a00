// nginx as it is usually set up to serve files: one worker for each core, sendfile, no access log. tcp_nopush stays off (its default),
// because together with small ranges it waits 40 ms for an acknowledgement.

/** The first of nginx's usual names that `runs`; Debian keeps it out of a normal user's PATH. */
export function nginxProgram(runs: (name: string) => boolean): string | undefined {
  return ['nginx', '/usr/sbin/nginx', '/usr/local/sbin/nginx'].find(runs)
}

export function nginxConfig(options: { root: string; port: number; scratch: string }): string {
  const { root, port, scratch } = options
  return `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes auto;
pid ${scratch}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  client_body_temp_path ${scratch}/body;
  proxy_temp_path ${scratch}/proxy;
  fastcgi_temp_path ${scratch}/fastcgi;
  uwsgi_temp_path ${scratch}/uwsgi;
  scgi_temp_path ${scratch}/scgi;
  server {
    listen 127.0.0.1:${port};
    location /outputs/ { alias ${root}/; }
  }
}
`
}
