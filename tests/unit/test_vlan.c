// VLAN tags: read, taken off, put on.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "net/vlan.h"

static const uint8_t plain[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0, 'd', 'a', 't', 'a'};

static enum drop read_tags(const uint8_t *tags, size_t octets, struct vlan *out, uint32_t *all)
{
	uint8_t frame[64];

	memcpy(frame, plain, 12);
	memcpy(frame + 12, tags, octets);
	memcpy(frame + 12 + octets, plain + 12, sizeof(plain) - 12);
	return vlan_read((struct slice){frame, sizeof(plain) + octets}, out, all);
}

static void reads(const uint8_t *tags, size_t octets, struct vlan want)
{
	struct vlan got;
	uint32_t all;

	assert_int_equal(read_tags(tags, octets, &got, &all), DROP_NONE);
	assert_true(vlan_eq(&got, &want));
	assert_int_equal(all, octets);
}

static void test_vlan_tags_are_read(void **state)
{
	(void)state;
	reads(NULL, 0, (struct vlan){0});
	reads((uint8_t[]){0x81, 0, 0xe0, 100}, 4, (struct vlan){1, {100}});
	reads((uint8_t[]){0x88, 0xa8, 0x0f, 0xfe}, 4, (struct vlan){1, {4094}});
	reads((uint8_t[]){0x88, 0xa8, 0, 7, 0x81, 0, 0, 9}, 8, (struct vlan){2, {7, 9}});
	// What af_packet makes of the outer tag.
	reads((uint8_t[]){0x81, 0, 0, 7, 0x81, 0, 0, 9}, 8, (struct vlan){2, {7, 9}});
	// Priority only.
	reads((uint8_t[]){0x81, 0, 0xa0, 0}, 4, (struct vlan){0});
	reads((uint8_t[]){0x81, 0, 0xa0, 0, 0x81, 0, 0, 9}, 8, (struct vlan){1, {9}});
}

static void test_vlan_three_tags_are_too_many(void **state)
{
	const uint8_t three[] = {0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3};
	struct vlan got;
	uint32_t all;

	(void)state;
	assert_int_equal(read_tags(three, sizeof(three), &got, &all), DROP_ETH_VLAN);
}

static void test_vlan_frames_of_any_length_are_read_within_them(void **state)
{
	const uint8_t frame[] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 9};
	struct vlan got;
	uint32_t all;

	(void)state;
	for (size_t n = 0; n < sizeof(frame); n++)
		assert_int_equal(vlan_read((struct slice){frame, n}, &got, &all), DROP_ETH_SHORT);
}

static void test_vlan_push_then_strip_gives_the_frame_again(void **state)
{
	const struct vlan vlans[] = {{0}, {1, {100}}, {2, {300, 7}}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint8_t frame[64] = {0};
		uint32_t octets = vlans[i].count * VLAN_TAG_OCTETS, all;
		struct vlan got;

		memcpy(frame + octets, plain, sizeof(plain));
		vlan_push(frame, &vlans[i]);
		assert_int_equal(
			vlan_read((struct slice){frame, sizeof(plain) + octets}, &got, &all),
			DROP_NONE);
		assert_true(vlan_eq(&got, &vlans[i]));
		assert_int_equal(all, octets);
		assert_memory_equal(frame, plain, 12);
		if (vlans[i].count == 2)
			assert_memory_equal(frame + 12, "\x88\xa8\x01\x2c\x81\x00\x00\x07", 8);
		vlan_strip(frame, octets);
		assert_memory_equal(frame + octets, plain, sizeof(plain));
	}
}

static void test_vlan_differs_by_number_and_order(void **state)
{
	const struct vlan a = {2, {1, 2}}, b = {2, {2, 1}}, c = {1, {1}}, none = {0};

	(void)state;
	assert_true(vlan_eq(&a, &a));
	assert_false(vlan_eq(&a, &b));
	assert_false(vlan_eq(&a, &c));
	assert_false(vlan_eq(&c, &none));
	assert_true(vlan_eq(&none, &none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vlan_tags_are_read),
		cmocka_unit_test(test_vlan_three_tags_are_too_many),
		cmocka_unit_test(test_vlan_frames_of_any_length_are_read_within_them),
		cmocka_unit_test(test_vlan_push_then_strip_gives_the_frame_again),
		cmocka_unit_test(test_vlan_differs_by_number_and_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
