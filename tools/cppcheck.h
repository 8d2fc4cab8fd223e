/* For cppcheck alone: loops of jansson that it cannot see. */
#define json_array_foreach(array, i, v) for (i = 0; i < json_array_size(array) && (v = json_array_get(array, i)); i++)
#define json_object_foreach(object, k, v) for (k = first_key(object); k && (v = json_object_get(object, k)); k = next_key(object, k))
#define json_object_foreach_safe(object, n, k, v) json_object_foreach(object, k, v)
