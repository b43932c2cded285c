"""Each rule of the interface about services, files and secrets has a test that tries to break it: this table.

A rule is in the words of a user; what it names is a test, `file::function` below `tests/`.
"""

from __future__ import annotations

import ast

import pytest

from tests.az.test_imports import ROOT

SERVICE = {
    'the end of a URL means nothing': ['feed/test_trust.py::test_url_loses_what_means_nothing'],
    'two names make a URL without a call': [
        'az/test_service.py::test_service_is_found',
        'security/test_which_service.py::test_service_is_the_one_that_was_meant',
    ],
    'names and a group ask Azure Resource Manager once': [
        'security/test_which_service.py::test_service_is_the_one_that_was_meant',
        'security/test_which_service.py::test_group_that_breaks_out_of_its_place_in_the_address_stays_in_it',
    ],
    'typed names beat the default, and a group alone says nothing': [
        'security/test_which_service.py::test_service_is_the_one_that_was_meant'
    ],
    'a default counts as given, not as typed': [
        'security/test_which_service.py::test_configured_server_of_ones_own_gets_no_token',
        'az/test_token.py::test_configured_defaults_count_as_given_and_not_as_typed',
    ],
    'an empty value is no value': ['security/test_empty_values.py::test_empty_value_is_refused'],
    'a token goes to hosts of the active cloud alone, by https': [
        'feed/test_trust.py::test_other_host_needs_a_typed_url_and_a_private_audience',
        'feed/test_trust.py::test_cloud_without_a_suffix_has_no_host',
        'feed/test_trust.py::test_plain_http_is_for_loopback_alone',
        'security/test_parsers.py::test_url_is_trusted_only_where_every_parser_reads_the_same_host',
    ],
    'no user info, query or fragment': ['feed/test_trust.py::test_url_of_another_shape_is_no_service_url'],
    'the rule holds for the URL of Azure Resource Manager': [
        'security/test_which_service.py::test_foreign_url_of_resource_manager_gets_no_token'
    ],
    "another host needs URL and audience typed, and an audience that is none of Microsoft's": [
        'az/test_service.py::test_service_is_refused',
        'az/test_hosts.py::test_t3_audience_of_an_endpoint_of_any_cloud_goes_to_no_stranger',
        'feed/test_trust.py::test_audience_of_microsoft_is_not_private',
    ],
    'a configured group is used only where nothing else says the service': [
        'security/test_which_service.py::test_service_is_the_one_that_was_meant',
        'security/test_which_service.py::test_n22_configured_group_is_named_where_it_is_used',
    ],
    'blanks around a value mean nothing': [
        'security/test_empty_values.py::test_n15_blanks_around_a_value_mean_nothing'
    ],
    'loopback is asked without a proxy': [
        'feed/test_transport.py::test_t2_loopback_is_asked_directly_whatever_the_environment_says',
        'security/test_which_service.py::test_t2_proxy_does_not_get_the_token_of_a_server_on_this_machine',
    ],
    'words of a foreign server go into no command': [
        'security/test_which_service.py::test_t1_challenge_of_a_foreign_server_is_no_command',
        'az/test_advice.py::test_t1_words_of_a_foreign_server_go_into_no_command',
    ],
    'a redirect is never followed': ['security/test_hostile_service.py::test_redirect_takes_no_token_anywhere'],
    'certificates are always checked': [
        'security/test_which_service.py::test_nothing_is_sent_where_certificates_are_not_checked',
        'feed/test_client.py::test_distrust_at_the_first_answer_ends_it_at_once',
    ],
    'no entry of a netrc file takes the place of the token': [
        'security/test_which_service.py::test_netrc_does_not_take_the_place_of_the_token'
    ],
    'after a logout nothing is left': ['e2e/test_logins.py::test_login_serves_every_command_until_logout'],
}
FILES = {
    'mode 0600 from the moment it exists': [
        'security/test_files.py::test_file_is_private_in_every_moment',
        'az/test_output.py::test_file_is_private_from_the_moment_it_exists',
        'e2e/test_output_file.py::test_every_file_is_its_owners_alone',
    ],
    'an existing file is refused': [
        'e2e/test_output_file.py::test_existing_file_is_refused_before_anything_is_sent',
        'az/test_token.py::test_issue_overwrites_only_when_told',
    ],
    'a link is replaced, never followed': [
        'security/test_files.py::test_link_is_refused_or_replaced_and_never_followed',
        'security/test_files.py::test_token_goes_through_no_link',
        'feed/test_files.py::test_locking_a_link_is_refused_and_never_followed',
    ],
    'devices and pipes are written directly': [
        'az/test_output.py::test_fifo_is_written_directly',
        'az/test_output.py::test_device_is_written_directly',
        'e2e/test_output_file.py::test_fifo_is_written_directly',
    ],
    'a path that cannot be written is a clear error': [
        'security/test_files.py::test_path_that_cannot_be_written_is_a_clear_error'
    ],
}
EVERYWHERE = {
    'progress only on a terminal, and where it is wanted': [
        'e2e/test_output_file.py::test_progress_is_shown_on_a_terminal_unless_unwanted',
        'e2e/test_output_file.py::test_progress_is_not_shown_without_a_terminal',
    ],
    'an error is a sentence and advice, no traceback': [
        'security/test_hostile_service.py::test_answer_ends_the_command_with_a_clear_error',
        'security/test_hostile_service.py::test_answer_ends_reading_at_once',
        'security/test_hostile_service.py::test_resource_manager_can_at_worst_end_the_command',
        'az/changefeed/test_options.py::test_options_that_contradict_each_other_are_refused',
    ],
    'its message holds no token, UID or text of the service': [
        'security/test_secrets.py::test_reading_says_no_token_and_its_telemetry_nothing_of_a_patient',
        'feed/test_client.py::test_no_error_text_holds_a_token_or_a_uid',
    ],
    'words of the service are printed escaped, in tables too': [
        'az/test_errors.py::test_words_of_the_service_are_quoted_and_stay_out_of_the_message_and_of_other_advice',
        'security/test_hostile_service.py::test_table_shows_a_terminal_no_escapes',
        'security/test_parsers.py::test_table_of_events_is_printable_whatever_they_hold',
        'az/test_token.py::test_show_claims_table_escapes_what_a_token_says',
    ],
    'exit codes': ['docs/test_exit_codes.py::test_exit_code_is_that_of_the_readme'],
    'no token in a message or with --debug': [
        'security/test_secrets.py::test_command_says_no_token',
        'az/test_token.py::test_debug_log_holds_no_token',
    ],
    'no token in log files of az': ['e2e/test_secrets.py::test_nothing_that_az_keeps_holds_a_token_but_its_caches'],
    'no token in telemetry': ['security/test_secrets.py::test_command_says_no_token'],
    'no token in an exception': [
        'security/test_secrets.py::test_traceback_with_locals_shows_no_token',
        'security/test_secrets.py::test_unexpected_error_leaves_no_token_in_its_frames',
        'security/test_secrets.py::test_reader_without_az_leaves_no_token_in_its_frames',
        'security/test_secrets.py::test_value_that_holds_a_token_does_not_show_it',
    ],
    'no token in the process list or a child': [
        'e2e/test_curl.py::test_curl_reads_the_feed_and_no_process_shows_the_token',
        'security/test_secrets.py::test_product_starts_no_process_and_sets_no_variable',
        'security/test_secrets.py::test_no_option_takes_a_token',
    ],
    'a service can at worst end the command': [
        'security/test_hostile_service.py::test_answer_ends_the_command_with_a_clear_error',
        'feed/test_client.py::test_follow_obeys_a_retry_after_of_a_year_for_an_hour',
        'feed/test_transport_deadlines.py::test_answer_without_end_is_cut_off',
        'feed/test_events.py::test_any_bytes_are_events_or_a_value_error',
    ],
    'every example runs': ['docs/test_help.py::test_example_runs'],
    'what is POSIX has the Windows way beside it': [
        'security/test_portability.py::test_posix_names_stand_beside_the_windows_way',
        'security/test_quoting.py::test_format_for_posix_has_line_feeds_on_windows',
        'security/test_quoting.py::test_query_of_an_example_survives_every_shell',
    ],
}
RULES = {**SERVICE, **FILES, **EVERYWHERE}


@pytest.mark.parametrize('tests', RULES.values(), ids=RULES)
def test_rule_has_its_tests(tests: list[str]) -> None:
    for test in tests:
        file, _, function = test.partition('::')
        tree = ast.parse((ROOT / 'tests' / file).read_text('utf-8'))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test
