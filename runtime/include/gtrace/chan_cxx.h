/*
 * chan_cxx.h - what chan.h's macros are in C++11 and later: the same names and the same types. Included by chan.h.
 *
 * Rules that differ
 *   - T must be trivially copyable.
 *   - The value of gt_case_send lives to the end of the full expression: write it inside gt_select(...), not in an array of
 *     cases made before.
 *   - An empty struct takes no room in a channel, as in C.
 */
#ifndef GTRACE_CHAN_CXX_H
#define GTRACE_CHAN_CXX_H

extern "C++" {

template <typename T> struct gt__same {
	typedef T type;
};

template <typename T> inline constexpr size_t gt__cxx_size()
{
	static_assert(__is_trivially_copyable(T), "a channel's values are copied byte by byte");
	return __is_empty(T) ? 0 : sizeof(T);
}

template <typename T> inline T *(*gt__cxx_make(size_t cap = 0))(struct gt__chan *)
{
	return (T * (*)(struct gt__chan *)) gt__chan_make(gt__cxx_size<T>(), cap);
}

template <typename T> inline void gt__cxx_send(T *(*c)(struct gt__chan *), const typename gt__same<T>::type &value)
{
	gt__chan_send((struct gt__chan *)c, &value);
}

template <typename T> inline bool gt__cxx_try_send(T *(*c)(struct gt__chan *), const typename gt__same<T>::type &value)
{
	return gt__chan_try_send((struct gt__chan *)c, &value);
}

template <typename T> inline bool gt__cxx_recv(T *(*c)(struct gt__chan *), typename gt__same<T>::type *into)
{
	return gt__chan_recv((struct gt__chan *)c, into);
}

template <typename T> inline enum gt_try gt__cxx_try_recv(T *(*c)(struct gt__chan *), typename gt__same<T>::type *into)
{
	return gt__chan_try_recv((struct gt__chan *)c, into);
}

template <typename T> inline T gt__cxx_recv_value(T *(*c)(struct gt__chan *))
{
	T value = T();

	gt__chan_recv((struct gt__chan *)c, &value);
	return value;
}

template <typename T>
inline struct gt_case gt__cxx_case_send(T *(*c)(struct gt__chan *), const typename gt__same<T>::type &value)
{
	struct gt_case made = {(struct gt__chan *)c, const_cast<T *>(&value), nullptr, GT__CASE_SEND};

	return made;
}

template <typename T>
inline struct gt_case gt__cxx_case_recv(
	T *(*c)(struct gt__chan *), typename gt__same<T>::type *into, bool *ok = nullptr)
{
	struct gt_case made = {(struct gt__chan *)c, into, ok, GT__CASE_RECV};

	return made;
}

inline struct gt_case gt__cxx_case_default()
{
	struct gt_case made = {nullptr, nullptr, nullptr, GT__CASE_DEFAULT};

	return made;
}

template <typename... Cases> inline size_t gt__cxx_select(Cases... cases)
{
	struct gt_case all[sizeof...(Cases) + 1] = {cases...};

	return gt_select_n(all, sizeof...(Cases));
}

} /* extern "C++" */

#define gt_chan_make(...)               GT__CXX_MAKE_PICK(__VA_ARGS__, GT__CXX_MAKE2, GT__CXX_MAKE1, )(__VA_ARGS__)
#define GT__CXX_MAKE_PICK(a, b, c, ...) c
#define GT__CXX_MAKE1(T)                (gt__cxx_make<T>())
#define GT__CXX_MAKE2(T, cap)           (gt__cxx_make<T>(cap))
#define gt_send(c, ...)                 gt__cxx_send(c, __VA_ARGS__)
#define gt_recv(c, into)                gt__cxx_recv(c, into)
#define gt_recv_value(c)                gt__cxx_recv_value(c)
#define gt_try_send(c, ...)             gt__cxx_try_send(c, __VA_ARGS__)
#define gt_try_recv(c, into)            gt__cxx_try_recv(c, into)
#define gt_case_send(c, ...)            gt__cxx_case_send(c, __VA_ARGS__)
#define gt_case_recv(...)               gt__cxx_case_recv(__VA_ARGS__)
#define gt_case_default                 gt__cxx_case_default()
#define gt_select(...)                  gt__cxx_select(__VA_ARGS__)

#endif
