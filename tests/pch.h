// Precompiled for all unit tests. Nothing may rely on it: each file includes what it uses.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/pch.h"
