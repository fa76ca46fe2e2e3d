use strict;
use warnings;
use JSON::PP;

my $config = decode_json($ENV{BOT_CONFIG});
$SIG{TERM} = sub { print "closing\n"; exit 0 };
print "hello from $ENV{BOT_ID}\n";
open my $result, '>', $ENV{BOTDOCK_RESULT_FILE} or die $!;
print $result encode_json({ sum => ($config->{a} // 0) + ($config->{b} // 0) });
