"""The runtime `perl`, held to what every runtime promises."""

from botdock_runtime_perl.runtime import PERL
from botdock_testing import RuntimeContract


class TestPerl(RuntimeContract):
    runtime = PERL
    digits = 15  # of a number that JSON::PP writes
    surrogates = False  # JSON::PP refuses half a pair
    echo = r"""
use JSON::PP;
my $kind = uc $ENV{ENTRYPOINT_TYPE};
my $text = $ENV{"${kind}_CONFIG"};
if (!defined $text) {
    open my $file, '<', $ENV{"${kind}_CONFIG_FILE"} or die $!;
    $text = join '', <$file>;
}
my %environment = map { my $value = $ENV{$_}; utf8::decode($value); $_ => $value } keys %ENV;
open my $result, '>', $ENV{BOTDOCK_RESULT_FILE} or die $!;
print $result encode_json({ id => $ENV{"${kind}_ID"}, config => decode_json($text), environment => \%environment });
"""
    exits = "exit 7"
    waits = r"""
$SIG{TERM} = sub { print "stopped\n"; exit 3 };
print "waiting\n";
sleep 1 while 1;
"""
