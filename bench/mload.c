// mload: small epoll MQTT 3.1.1 load generator. one thread. loopback only.
// mload [MODE] [k=v ...]: tput (default), conn, idle, retpub, retsub, retloop, rate. One JSON line on stdout.
// Around what is measured it writes `begin` and `end` to stderr; `cpu` is its own share of a core between them.
// With -DMLOAD_TLS -lssl -lcrypto: tls=1 (modes tput, rate, idle, ret*).
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <time.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <signal.h>
#include <sys/resource.h>
#ifdef MLOAD_TLS
#include <openssl/ssl.h>
#include <openssl/err.h>
static SSL_CTX*ctx;
#else
typedef void SSL;
#endif
#define HN 2000000
typedef struct { int fd, role, idx, st, wantw; uint8_t *r; int rl, rc; uint8_t *w; int wl, wo, wc; int inflight; uint16_t id; uint8_t *frame; int fl, idoff, payoff; uint64_t t0;int gen;SSL*ssl;} C;
static const char *mode="tput",*pt="t/%d",*sf="t/%d",*user=0,*pass="pw"; static int pport=1883,sport=1883,npub=1,nsub=1,qos=0,sqos=-1,size=16,dur=5,warm=1,win=500,fan=1,rate=0,conc=50,n=1000,retain=0,qwin=100,hold=0,burst=1,clean=1,sclean=-1,wait_ms=300,users=0,tls=0,hits=1;
static int ep; static uint64_t recvd,sent,acked,lost,bytes,conns,errs; static uint64_t hist[HN]; static int measuring; static uint64_t hn;
static uint64_t now(){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec*1000000000ull+t.tv_nsec;}
static uint64_t used(){struct rusage u;getrusage(RUSAGE_SELF,&u);return (u.ru_utime.tv_sec+u.ru_stime.tv_sec)*1000000000ull+(u.ru_utime.tv_usec+u.ru_stime.tv_usec)*1000ull;}
static uint64_t u0,w0;static double share=-1; static void mark(int on){ if(on){u0=used();w0=now();}else share=(double)(used()-u0)/(now()-w0); fprintf(stderr,on?"begin\n":"end\n"); }
static ssize_t get(C*c,void*b,size_t k){
#ifdef MLOAD_TLS
 if(c->ssl){ERR_clear_error();int r=SSL_read(c->ssl,b,k);if(r>0)return r;int e=SSL_get_error(c->ssl,r);if(e==SSL_ERROR_WANT_READ||e==SSL_ERROR_WANT_WRITE){errno=EAGAIN;return -1;}return 0;}
#endif
 return read(c->fd,b,k);}
static ssize_t give(C*c,const void*b,size_t k){
#ifdef MLOAD_TLS
 if(c->ssl){ERR_clear_error();int r=SSL_write(c->ssl,b,k);if(r>0)return r;int e=SSL_get_error(c->ssl,r);errno=(e==SSL_ERROR_WANT_READ||e==SSL_ERROR_WANT_WRITE)?EAGAIN:EPIPE;return -1;}
#endif
 return write(c->fd,b,k);}
static void secure(C*c){ if(!tls)return;
#ifdef MLOAD_TLS
 if(!ctx){ctx=SSL_CTX_new(TLS_client_method());SSL_CTX_set_mode(ctx,SSL_MODE_ENABLE_PARTIAL_WRITE|SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);SSL_CTX_set_read_ahead(ctx,1);SSL_CTX_set_default_read_buffer_len(ctx,65536);}
 c->ssl=SSL_new(ctx);SSL_set_fd(c->ssl,c->fd);if(SSL_connect(c->ssl)!=1){ERR_print_errors_fp(stderr);exit(1);}
#else
 fprintf(stderr,"built without TLS\n");exit(1);
#endif
}
static const char*cipher(C*c){
#ifdef MLOAD_TLS
 static char t[96];if(c->ssl){snprintf(t,sizeof t,"%s %s",SSL_get_version(c->ssl),SSL_get_cipher_name(c->ssl));return t;}
#endif
 return "";}
static void ev(C*c){struct epoll_event e={.events=EPOLLIN|(c->wantw?EPOLLOUT:0),.data.ptr=c};epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e);}
static void need(C*c,int k){ if(c->wl+k>c->wc){ c->wc=(c->wl+k)*2; c->w=realloc(c->w,c->wc);} }
static void flush(C*c){ while(c->wo<c->wl){ int k=give(c,c->w+c->wo,c->wl-c->wo); if(k<=0){ if(errno==EAGAIN){ if(!c->wantw){c->wantw=1;ev(c);} return;} errs++; c->st=-1; return;} c->wo+=k;} c->wo=c->wl=0; if(c->wantw){c->wantw=0;ev(c);} }
static void put(C*c,const void*b,int k){need(c,k);memcpy(c->w+c->wl,b,k);c->wl+=k;}
static int vlen(uint8_t*o,int l){int i=0;do{uint8_t d=l%128;l/=128;if(l)d|=128;o[i++]=d;}while(l);return i;}
static void sendconnect(C*c,const char*pre){ char id[64];int il=sprintf(id,"%s%d_%d",pre,c->idx,getpid()); uint8_t b[512];int p=0; uint8_t v[512];
 v[p++]=0;v[p++]=4;memcpy(v+p,"MQTT",4);p+=4;v[p++]=4;v[p++]=((c->role==1?sclean:clean)?2:0)|(user?0xC0:0);v[p++]=0;v[p++]=0; v[p++]=0;v[p++]=il;memcpy(v+p,id,il);p+=il;
 if(user){char u[128];int l=sprintf(u,user,users?c->idx%users:c->idx);v[p++]=0;v[p++]=l;memcpy(v+p,u,l);p+=l;l=strlen(pass);v[p++]=0;v[p++]=l;memcpy(v+p,pass,l);p+=l;}
 b[0]=0x10;int h=1+vlen(b+1,p);memcpy(b+h,v,p);put(c,b,h+p);flush(c);}
static void sendsub(C*c){ char t[256];int l=sprintf(t,sf,c->idx);uint8_t b[300];b[0]=0x82;int p=1+vlen(b+1,2+2+l+1);b[p++]=0;b[p++]=1;b[p++]=0;b[p++]=l;memcpy(b+p,t,l);p+=l;b[p++]=sqos;put(c,b,p);flush(c);}
static void mkframe(C*c){ char t[256];int l=sprintf(t,pt,c->idx);int rl=2+l+(qos?2:0)+size;c->frame=malloc(rl+8);uint8_t*b=c->frame;b[0]=0x30|(qos<<1)|(retain?1:0);int p=1+vlen(b+1,rl);b[p++]=0;b[p++]=l;memcpy(b+p,t,l);p+=l;c->idoff=p;if(qos)p+=2;c->payoff=p;memset(b+p,'x',size);c->fl=p+size;}
static void pub(C*c){ if(qos){c->id++;if(!c->id)c->id=1;c->frame[c->idoff]=c->id>>8;c->frame[c->idoff+1]=c->id;c->inflight++;} if(size>=8){uint64_t t=now();memcpy(c->frame+c->payoff,&t,8);} put(c,c->frame,c->fl);sent++;}
static C* mk(int role,int idx,int port){ C*c=calloc(1,sizeof*c);c->role=role;c->idx=idx;c->fd=socket(AF_INET,SOCK_STREAM,0);struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(port)};a.sin_addr.s_addr=htonl(INADDR_LOOPBACK); a.sin_addr.s_addr=htonl(0x7f000001); 
 if(connect(c->fd,(void*)&a,sizeof a)){perror("connect");exit(1);} int one=1;setsockopt(c->fd,IPPROTO_TCP,TCP_NODELAY,&one,sizeof one);secure(c);fcntl(c->fd,F_SETFL,O_NONBLOCK);c->rc=(!strcmp(mode,"idle"))?1024:262144;c->r=malloc(c->rc);struct epoll_event e={.events=EPOLLIN,.data.ptr=c};epoll_ctl(ep,EPOLL_CTL_ADD,c->fd,&e);c->t0=now();return c;}
static int ready; static void reconnect(C*c);
static void pkt(C*c,uint8_t*b,int hl,int rl){ int ty=b[0]>>4; uint8_t*v=b+hl;
 switch(ty){
 case 2: if(v[1]!=0){errs++;c->st=-1;return;} 
   if(!strcmp(mode,"conn")){conns++; uint64_t d=(now()-c->t0)/1000; if(measuring){hist[d<HN?d:HN-1]++;hn++;} uint8_t x[2]={0xe0,0};put(c,x,2);flush(c); reconnect(c);return;}
   if(c->role==1){c->st=2;sendsub(c);}else{c->st=3;ready++;} break;
 case 9: if(v[2]==128)errs++; c->st=3;ready++;break;
 case 3:{ recvd++; int q=(b[0]>>1)&3; int tl=v[0]<<8|v[1]; int p=2+tl; if(q){uint8_t a[4]={0x40,2,v[p],v[p+1]};if(q==2)a[0]=0x50;put(c,a,4);p+=2;} bytes+=rl; if(measuring&&rl-p>=8){uint64_t t;memcpy(&t,v+p,8);uint64_t d=(now()-t)/1000;hist[d<HN?d:HN-1]++;hn++;}break;}
 case 4: c->inflight--;acked++;break;
 case 11: ready++;break;
 case 5:{uint8_t a[4]={0x62,2,v[0],v[1]};put(c,a,4);break;}
 case 6:{uint8_t a[4]={0x70,2,v[0],v[1]};put(c,a,4);break;}
 case 7: c->inflight--;acked++;break;
 }}
static int rd1(C*c){ int k=get(c,c->r+c->rl,c->rc-c->rl); if(k<=0){ if(k<0&&errno==EAGAIN)return 0; if(c->st>=0){errs++;} c->st=-1;epoll_ctl(ep,EPOLL_CTL_DEL,c->fd,0);return 0;} c->rl+=k;int o=0; int gen=c->gen;
 while(c->rl-o>=2){ int m=1,l=0,h=1;int ok=0;while(h<c->rl-o&&h<5){uint8_t d=c->r[o+h++];l+=(d&127)*m;m*=128;if(!(d&128)){ok=1;break;}} if(!ok)break; if(c->rl-o<h+l){ if(h+l>c->rc){c->rc=h+l+1024;c->r=realloc(c->r,c->rc);} break;} pkt(c,c->r+o,h,l); if(c->gen!=gen){return 0;} if(c->st<0){ c->rl=0; return 0;} o+=h+l;}
 memmove(c->r,c->r+o,c->rl-o);c->rl-=o; if(c->wl)flush(c); return c->ssl!=0;}
static void rd(C*c){ while(rd1(c)); } // TLS: what was read ahead raises no event
static void loop(int ms){ struct epoll_event e[512];int k=epoll_wait(ep,e,512,ms);for(int i=0;i<k;i++){C*c=e[i].data.ptr; if(e[i].events&EPOLLOUT)flush(c); if(e[i].events&(EPOLLIN|EPOLLHUP|EPOLLERR))rd(c);} }
static unsigned srcn;
static void reconnect(C*c){ c->gen++; close(c->fd); c->fd=socket(AF_INET,SOCK_STREAM,0); {int o1=1; setsockopt(c->fd,SOL_IP,24,&o1,sizeof o1); setsockopt(c->fd,SOL_SOCKET,SO_REUSEADDR,&o1,sizeof o1); struct sockaddr_in sa={.sin_family=AF_INET}; sa.sin_addr.s_addr=htonl(0x7f000002+(srcn++%200)); bind(c->fd,(void*)&sa,sizeof sa);}struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(pport)};a.sin_addr.s_addr=htonl(0x7f000001); if(connect(c->fd,(void*)&a,sizeof a)){perror("connect");exit(1);} int one=1;setsockopt(c->fd,IPPROTO_TCP,TCP_NODELAY,&one,sizeof one);fcntl(c->fd,F_SETFL,O_NONBLOCK);c->wo=c->wl=0;c->wantw=0;c->rl=0;struct epoll_event e={.events=EPOLLIN,.data.ptr=c};epoll_ctl(ep,EPOLL_CTL_ADD,c->fd,&e);c->idx+=conc;c->t0=now();sendconnect(c,"c");}
static double pct(double p){uint64_t t=hn*p,s=0;for(int i=0;i<HN;i++){s+=hist[i];if(s>t)return i;}return HN;}
int main(int ac,char**av){ signal(SIGPIPE,SIG_IGN); for(int i=1;i<ac;i++){char*k=av[i],*v=strchr(k,'=');if(!v){mode=k;continue;}*v++=0;
#define I(x) if(!strcmp(k,#x))x=atoi(v);
#define S(x) if(!strcmp(k,#x))x=v;
 I(pport)I(sport)I(npub)I(nsub)I(qos)I(sqos)I(size)I(dur)I(warm)I(win)I(fan)I(rate)I(conc)I(n)I(retain)I(qwin)I(hold)I(clean)I(sclean)I(users)I(tls)I(hits)I(burst)I(wait_ms) S(pt)S(sf)S(user)S(pass)}
 if(sclean<0)sclean=clean; {struct rlimit l;getrlimit(RLIMIT_NOFILE,&l);l.rlim_cur=l.rlim_max;setrlimit(RLIMIT_NOFILE,&l);} if(sqos<0)sqos=qos; ep=epoll_create1(0);
 if(!strcmp(mode,"conn")){ C**cs=malloc(conc*sizeof*cs);for(int i=0;i<conc;i++){cs[i]=mk(0,i,pport);sendconnect(cs[i],"c");} uint64_t t=now();while(now()-t<warm*1000000000ull)loop(1);uint64_t c0=conns;measuring=1;mark(1);t=now();while(now()-t<dur*1000000000ull)loop(1);double s=(now()-t)/1e9;mark(0);printf("{\"conn_s\":%.0f,\"conns\":%lu,\"errs\":%lu,\"p50us\":%.0f,\"p99us\":%.0f,\"cpu\":%.3f,\"secs\":%.3f}\n",(conns-c0)/s,conns-c0,errs,pct(.5),pct(.99),share,s);return 0;}
 if(!strcmp(mode,"idle")){ uint64_t t=now(); for(int i=0;i<n;i++){C*c=mk(fan?1:0,i,pport);sendconnect(c,"i");int j=0;if(i%50==49)while(ready+ (int)errs<i-20&&j++<5000)loop(1);} int j=0;while(ready+(int)errs<n&&j++<20000)loop(1);double s=(now()-t)/1e9;printf("{\"ready\":%d,\"errs\":%lu,\"secs\":%.2f}\n",ready,errs,s);fflush(stdout);uint64_t t2=now();while(now()-t2<hold*1000000000ull)loop(50);return 0;}
 if(!strcmp(mode,"retpub")){ C*c=mk(0,0,pport);sendconnect(c,"p");while(!ready)loop(1); int out=0; uint64_t t=now(); for(int i=0;i<n;i++){char tp[256];int l=sprintf(tp,pt,i);uint8_t b[600];b[0]=0x33;int p=1+vlen(b+1,2+l+2+size);b[p++]=0;b[p++]=l;memcpy(b+p,tp,l);p+=l;uint16_t id=i%65535+1;b[p++]=id>>8;b[p++]=id;memset(b+p,'x',size);put(c,b,p+size);c->inflight++;out++; if(i%20==19){flush(c);while(c->inflight>100&&c->st>=0)loop(1);}} flush(c);while(c->inflight>0&&c->st>=0)loop(1);printf("{\"retpub_s\":%.0f,\"errs\":%lu}\n",n/((now()-t)/1e9),errs);return 0;}
 if(!strcmp(mode,"retloop")){ C*c=mk(1,0,sport);c->role=0;sendconnect(c,"s");while(!ready&&!errs)loop(1); uint64_t total=0;int on=0;
  uint64_t t1=now(),tm=t1+warm*1000000000ull,te=tm+dur*1000000000ull; while(!errs){ uint64_t x=now(); if(!on&&x>=tm){on=1;mark(1);te=x+dur*1000000000ull;} if(on&&x>=te&&hn)break; ready=0;recvd=0;uint64_t t=now();sendsub(c);flush(c);while((!ready||recvd<(uint64_t)hits)&&!errs){loop(1);if(now()-t>20000000000ull)errs++;} uint64_t d=(now()-t)/1000;if(on){hist[d<HN?d:HN-1]++;hn++;total+=recvd;}
   ready=0;char tp[256];int l=sprintf(tp,sf,0);uint8_t b[300];b[0]=0xa2;int p=1+vlen(b+1,4+l);b[p++]=0;b[p++]=2;b[p++]=0;b[p++]=l;memcpy(b+p,tp,l);put(c,b,p+l);flush(c);while(!ready&&!errs)loop(1);}
  mark(0);printf("{\"p50us\":%.0f,\"p99us\":%.0f,\"recvd\":%lu,\"reps\":%lu,\"errs\":%lu,\"cpu\":%.3f}\n",pct(.5),pct(.99),total,hn,errs,share);return 0;}
 if(!strcmp(mode,"retsub")){ C*c=mk(1,0,sport);c->role=0;sendconnect(c,"s");while(!ready)loop(1);ready=0;uint64_t t=now();sendsub(c);while(!ready)loop(1);double ta=(now()-t)/1e6;uint64_t last=now(),lr=0,first=0;while(now()-last<(uint64_t)hold*1000000ull){loop(1);if(recvd!=lr){if(!first)first=now();lr=recvd;last=now();}}printf("{\"suback_ms\":%.1f,\"first_ms\":%.1f,\"last_ms\":%.1f,\"recvd\":%lu}\n",ta,first?(first-t)/1e6:-1,recvd?(last-t)/1e6:-1,recvd);return 0;}
 C**ps=malloc(npub*sizeof*ps),**ss=malloc(nsub*sizeof*ss);
 for(int i=0;i<nsub;i++){ss[i]=mk(1,i,sport);sendconnect(ss[i],"s");while(ready<i+1&&!errs)loop(1);} 
 for(int i=0;i<npub;i++){ps[i]=mk(0,i,pport);mkframe(ps[i]);sendconnect(ps[i],"p");while(ready<nsub+i+1&&!errs)loop(1);} 
 if(errs){printf("{\"error\":\"setup\"}\n");return 1;} uint64_t tw=now();while(now()-tw<wait_ms*1000000ull)loop(10);
 if(!strcmp(mode,"rate")){ uint64_t t=now(),tm=t+warm*1000000000ull,te=tm+dur*1000000000ull;double iv=1e9*burst/rate;double nx=t;int k=0;uint64_t r0=0,s0=0;while(1){uint64_t x=now();if(x>te)break;if(!measuring&&x>tm){measuring=1;mark(1);r0=recvd;s0=sent;}while(nx<=x){for(int b=0;b<burst;b++){C*c=ps[k++%npub];pub(c);flush(c);}nx+=iv;}loop(0);}double s=(now()-tm)/1e9;uint64_t rr=recvd-r0,sn=sent-s0;measuring=0;mark(0);t=now();while(now()-t<500000000ull)loop(5);printf("{\"sent_s\":%.0f,\"recv_s\":%.0f,\"p50us\":%.0f,\"p99us\":%.0f,\"p999us\":%.0f,\"lost\":%ld,\"errs\":%lu}\n",sn/s,rr/s,pct(.5),pct(.99),pct(.999),(long)(sent*fan-recvd),errs);return 0;}
 uint64_t base=0;uint64_t t=now(),tm=t+warm*1000000000ull,te=tm+dur*1000000000ull,lastr=t,lr=0,r0=0,s0=0;int k=0;
 while(1){uint64_t x=now();if(x>te)break;if(!measuring&&x>tm){measuring=1;mark(1);r0=recvd;s0=sent;}
  if(recvd!=lr){lr=recvd;lastr=x;} long out=(long)(sent*fan)-(long)recvd-(long)lost; if(out>0&&x-lastr>1000000000ull){lost+=out;lastr=x;out=0;for(int i=0;i<npub;i++)ps[i]->inflight=0;}
  int did=0; long room=((long)win*npub*fan-out)/fan; 
  if(room>0) for(int i=0;i<npub&&room>0;i++){C*c=ps[k++%npub];if(c->st<0||c->wl-c->wo>65536)continue;int m=room<16?room:16;while(m-->0){if(qos&&c->inflight>=qwin)break;pub(c);room--;did=1;}flush(c);}
  loop(did?0:1);} double s=(now()-tm)/1e9; uint64_t rr=recvd-r0,sn=sent-s0;
 double p50=pct(.5),p99=pct(.99);mark(0);t=now();measuring=0;while(now()-t<700000000ull)loop(5);
 printf("{\"recv_s\":%.0f,\"sent_s\":%.0f,\"recvd\":%lu,\"MBs\":%.1f,\"p50us\":%.0f,\"p99us\":%.0f,\"lost\":%ld,\"errs\":%lu,\"cpu\":%.3f,\"secs\":%.3f,\"tls\":\"%s\"}\n",rr/s,sn/s,rr,bytes/1e6/(dur+warm),p50,p99,(long)(sent*fan-recvd),errs,share,s,npub?cipher(ps[0]):"");return 0;}
